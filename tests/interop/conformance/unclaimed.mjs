// Cases of ipfs/gateway-conformance that this gateway does not claim, by file of that suite, and why.

/** Reasons, each once. */
export const WHY = {
  CODECS: "dag-json, dag-cbor, json and cbor: our streams have nothing of these codecs, and a gateway that turned one into another would be trusted for the result",
  TAR: "TAR: a directory leaves as a CAR, which is checked against its CID; a TAR is not",
  REDIRECTS: "_redirects: rules of websites on subdomain gateways; a stream's directories have none",
  SUBDOMAINS: "subdomain gateway and proxies: they need wildcard names in the DNS, which a node of a mesh does not have; the sandbox keeps origins apart instead",
  DNSLINK: "DNSLink: names come from the stream's key alone, nothing here asks the DNS",
  UNRESOLVED: "a record that does not verify is never taken, so that the name stays unknown: 404, where the suite wants 5xx",
  KUBO: "asserts Kubo's own HTML; our listing has the same names, links and tags",
  DUPS: "dups=n needs a memory of every block sent, which strangers could fill: this gateway always says and sends dups=y, as the specification allows one that does nothing else",
  CBOR: "dag-cbor: our streams have no such block, and none can be stored by CID here",
};

/** Names by test function. */
export const unclaimed = {
  // dnslink_gateway_ipns_test.go
  TestDNSLinkGatewayIPNS: [
    ["GET for DNSLink with dnslink=/ipns/{peer-id} returns expected payload", WHY.DNSLINK],
    ["GET for DNSLink with dnslink=/ipns/{cidv1-libp2p-key} returns expected payload", WHY.DNSLINK],
  ],
  // dnslink_gateway_test.go
  TestDNSLinkGatewayUnixFSDirectoryListing: [
    ["Backlink on root CID should be hidden (TODO: cleanup Kubo-specifics)", WHY.DNSLINK],
    ["Redirect dir listing to URL with trailing slash", WHY.DNSLINK],
    ["Regular dir listing (TODO: cleanup Kubo-specifics)", WHY.DNSLINK],
  ],
  // dnslink_gateway_test.go
  TestDNSLinkGatewayWithSubpath: [
    ["GET for DNSLink with dnslink=/ipfs/<cid>/sub-path returns file at sub-path", WHY.DNSLINK],
  ],
  // path_gateway_dag_test.go
  TestGatewayJsonCbor: [
    ["GET raw block with JSON bytes prefers format over Accept header", WHY.CODECS],
  ],
  // path_gateway_dag_test.go
  TestCodecMismatchReturns406: [
    ["GET DAG-JSON block with format=dag-cbor returns 406 Not Acceptable", WHY.CODECS],
    ["GET DAG-CBOR block with format=dag-json returns 406 Not Acceptable", WHY.CODECS],
    ["GET DAG-CBOR block with Accept: application/vnd.ipld.dag-json returns 406 Not Acceptable", WHY.CODECS],
  ],
  // path_gateway_dag_test.go
  TestPlainCodec: [
    ["GET {{name}} without Accept or format= has expected \"{{format}}\" Content-Type and body as-is", WHY.CODECS],
    ["GET {{name}} with ?format= has expected {{format}} Content-Type and body as-is", WHY.CODECS],
    ["GET {{name}} with Accept has expected {{format}} Content-Type and body as-is, with single range request", WHY.CODECS],
  ],
  // path_gateway_dag_test.go
  TestPathing: [
    ["GET DAG-JSON traversal returns 501 if there is path remainder", WHY.CODECS],
    ["GET DAG-JSON traverses multiple links", WHY.CODECS],
    ["GET DAG-JSON returns 404 on non-existing link", WHY.CODECS],
    ["GET DAG-CBOR traversal returns 501 if there is path remainder", WHY.CODECS],
    ["GET DAG-CBOR traverses multiple links", WHY.CODECS],
    ["GET DAG-CBOR returns 404 on non-existing link", WHY.CODECS],
  ],
  // path_gateway_dag_test.go
  TestNativeDag: [
    ["GET {{name}} from /ipfs without explicit format returns the same payload as the raw block", WHY.CODECS],
    ["GET {{name}} from /ipfs with format=dag-{{format}} returns the same payload as the raw block", WHY.CODECS],
    ["GET {{name}} from /ipfs with application/vnd.ipld.dag-{{format}} returns the same payload as the raw block", WHY.CODECS],
    ["GET {{name}} with format={{format}} returns same payload as format=dag-{{format}} but with plain Content-Type", WHY.CODECS],
    ["GET {{name}} with Accept: application/{{format}} returns same payload as application/vnd.ipld.dag-{{format}} but with plain Content-Type", WHY.CODECS],
    ["GET response for application/vnd.ipld.dag-{{format}} has expected Content-Type", WHY.CODECS],
    ["GET for application/vnd.ipld.dag-{{format}} with query filename includes Content-Disposition with custom filename", WHY.CODECS],
    ["GET for application/vnd.ipld.dag-{{format}} with ?download=true forces Content-Disposition: attachment", WHY.CODECS],
    ["Cache control HTTP headers ({{format}})", WHY.CODECS],
    ["HEAD {{name}} with no explicit format returns HTTP 200", WHY.CODECS],
    ["HEAD {{name}} with an explicit format returns HTTP 200", WHY.CODECS],
    ["HEAD {{name}} with only-if-cached for missing block returns HTTP 412 Precondition Failed", WHY.CODECS],
    ["GET {{name}} on /ipfs with Accept: text/html returns HTML (dag-index-html)", WHY.CODECS],
    ["GET {{name}} on /ipfs with no explicit header", WHY.CODECS],
    ["GET {{name}} on /ipfs with dag content headers", WHY.CODECS],
    ["GET {{name}} on /ipfs with non-dag content headers", WHY.CODECS],
    ["GET DAG-CBOR with Accept: text/html returns HTML preview", WHY.CODECS],
  ],
  // path_gateway_dag_test.go
  TestGatewayJSONCborAndIPNS: [
    ["GET {{name}} from /ipns without explicit format returns the same payload as /ipfs", WHY.CODECS],
    ["GET {{name}} from /ipns with explicit format returns the same payload as /ipfs", WHY.CODECS],
    ["GET {{name}} from /ipns with explicit application/vnd.ipld.dag-{{format}} has expected headers", WHY.CODECS],
    ["GET {{name}} on /ipns with Accept: text/html returns HTML (dag-index-html)", WHY.CODECS],
  ],
  // path_gateway_tar_test.go
  TestTar: [
    ["GET TAR with format=tar and extract", WHY.TAR],
    ["GET TAR with 'Accept: application/x-tar' and extract", WHY.TAR],
    ["GET TAR has expected root directory", WHY.TAR],
    ["GET TAR with explicit ?filename= succeeds with modified Content-Disposition header", WHY.TAR],
    ["GET TAR with relative paths outside root fails", WHY.TAR],
    ["GET TAR with relative paths inside root works", WHY.TAR],
  ],
  // redirects_file_test.go
  TestRedirectsFileSupport: [
    ["request for {cid}.ipfs.example.com/redirect-one redirects with default of 301, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/301-redirect-one redirects with 301, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/302-redirect-two redirects with 302, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/200-index returns 200, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/posts/:year/:month/:day/:title redirects with 301 and placeholders, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/splat/one.html redirects with 301 and splat placeholder, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/not-found/has-no-redirects-entry returns custom 404, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/gone/has-no-redirects-entry returns custom 410, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/unavail/has-no-redirects-entry returns custom 451, per _redirects file", WHY.REDIRECTS],
    ["request for {cid}.ipfs.example.com/catch-all returns 200, per _redirects file", WHY.REDIRECTS],
    ["invalid file: request for $INVALID_REDIRECTS_DIR_HOSTNAME/not-found returns error about invalid redirects file", WHY.REDIRECTS],
    ["invalid file: request for $TOO_LARGE_REDIRECTS_DIR_HOSTNAME/not-found returns error about too large redirects file", WHY.REDIRECTS],
    ["newline: request for $NEWLINE_REDIRECTS_DIR_HOSTNAME/redirect-one redirects with default of 301, per _redirects file", WHY.REDIRECTS],
    ["good codes: request for $GOOD_REDIRECTS_DIR_HOSTNAME/redirect-one redirects with default of 301, per _redirects file", WHY.REDIRECTS],
    ["bad codes: request for $BAD_REDIRECTS_DIR_HOSTNAME/found.html doesn't return error about bad code", WHY.REDIRECTS],
  ],
  // redirects_file_test.go
  TestRedirectsFileSupportWithDNSLink: [
    ["request for //{dnslink} redirects with default of 301, per _redirects file", WHY.REDIRECTS],
    ["request for //{dnslink}/en/has-no-redirects-entry returns custom 404, per _redirects file", WHY.REDIRECTS],
  ],
  // redirects_file_test.go
  TestRedirectsFileWithIfNoneMatchHeader: [
    ["request for //{cid}.ipfs.{subdomain-gateway}/missing-page returns body of index.html as per _redirects", WHY.REDIRECTS],
    ["request for //{cid}.ipfs.{subdomain-gateway}/missing-page with If-None-Match returns 304", WHY.REDIRECTS],
    ["request for //{dnslink}.ipns.{subdomain-gateway}/missing-page returns body of index.html as per _redirects", WHY.REDIRECTS],
    ["request for //{dnslink}.ipns.{subdomain-gateway}/missing-page with If-None-Match returns 304", WHY.REDIRECTS],
    ["request for //{dnslink}/missing-page returns body of index.html as per _redirects", WHY.REDIRECTS],
    ["request for //{dnslink}/missing-page with If-None-Match returns 304", WHY.REDIRECTS],
  ],
  // subdomain_gateway_ipfs_test.go
  TestUnixFSDirectoryListingOnSubdomainGateway: [
    ["backlink on root CID should be hidden (TODO: cleanup Kubo-specifics)", WHY.SUBDOMAINS],
    ["redirect dir listing to URL with trailing slash", WHY.SUBDOMAINS],
    ["Regular dir listing HTML (TODO: cleanup Kubo-specifics)", WHY.SUBDOMAINS],
  ],
  // subdomain_gateway_ipfs_test.go
  TestGatewaySubdomains: [
    ["request for example.com/ipfs/{cid} redirects to {cid}.ipfs.example.com", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{CIDv1}/{filename with percent encoding} redirects to subdomain", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{DirCID}/ redirects to subdomain", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{CIDv0} redirects to {CIDv1}.ipfs.example.com", WHY.SUBDOMAINS],
    ["request for {CID}.ipfs.example.com should return expected payload", WHY.SUBDOMAINS],
    ["request for {CID}.ipfs.example.com/ipfs/{CID} should return HTTP 404", WHY.SUBDOMAINS],
    ["request for {CID}.ipfs.example.com/ipfs/file.txt should return data from a file in CID content root", WHY.SUBDOMAINS],
    ["valid file and subdirectory paths in directory listing at {cid}.ipfs.example.com", WHY.SUBDOMAINS],
    ["valid parent directory path in directory listing at {cid}.ipfs.example.com/sub/dir", WHY.SUBDOMAINS],
    ["request for deep path resource at {cid}.ipfs.example.com/sub/dir/file", WHY.SUBDOMAINS],
    ["valid breadcrumb links in the header of directory listing at {cid}.ipfs.example.com/sub/dir (TODO: cleanup Kubo-specifics)", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{InvalidCID} produces useful error before redirect", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{CID} with X-Forwarded-Proto: https produces redirect to HTTPS URL", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{CID} with X-Forwarded-Proto: http produces redirect to HTTP URL", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/?uri=ipfs%3A%2F%2F.. produces redirect to /ipfs/.. content path", WHY.SUBDOMAINS],
    ["request for a too long CID at example.com/ipfs/{CIDv1} returns human readable error", WHY.SUBDOMAINS],
    ["request for a too long CID at {CIDv1}.ipfs.example.com returns expected payload", WHY.SUBDOMAINS],
    ["request for fake.domain.com/ipfs/{CID} doesn't match the example.com gateway", WHY.SUBDOMAINS],
    ["request for fake.domain.com/ipfs/{CID} with X-Forwarded-Host: example.com match the example.com gateway", WHY.SUBDOMAINS],
    ["request for fake.domain.com/ipfs/{CID} with X-Forwarded-Host: example.com and X-Forwarded-Proto: https match the example.com gateway, redirect with https", WHY.SUBDOMAINS],
    ["request for fake.domain.com/ipfs/{CID} with X-Forwarded-Host: example.com and X-Forwarded-Proto: http match the example.com gateway, redirect with http", WHY.SUBDOMAINS],
  ],
  // subdomain_gateway_ipns_test.go
  TestGatewaySubdomainAndIPNS: [
    ["request for /ipns/{CIDv0} redirects to CIDv1 with libp2p-key multicodec in subdomain", WHY.SUBDOMAINS],
    ["request for /ipns/{CIDv1} redirects to same CIDv1 on subdomain", WHY.SUBDOMAINS],
    ["request for {CIDv1-base36-libp2p-key}.ipns.{gateway} returns expected payload", WHY.SUBDOMAINS],
    ["request for {CIDv1-dag-pb}.ipns.{gateway} redirects to CID with libp2p-key multicodec", WHY.SUBDOMAINS],
    ["request for a ED25519 libp2p-key at example.com/ipns/{b58mh} returns Location HTTP header for DNS-safe subdomain redirect in browsers", WHY.SUBDOMAINS],
  ],
  // subdomain_gateway_ipns_test.go
  TestSubdomainGatewayDNSLinkInlining: [
    ["request for /ipns/{dnslink}/foo/ redirects to {inlined-dnslink}.ipns.example.com", WHY.SUBDOMAINS],
    ["request for {dnslink}.ipns.{gateway} returns expected payload", WHY.SUBDOMAINS],
    ["request for {inlineddnslink}.ipns.{gateway} returns expected payload", WHY.SUBDOMAINS],
    ["request for example.com/ipns/{fqdn} with X-Forwarded-Proto redirects to TLS-safe label in subdomain", WHY.SUBDOMAINS],
    ["request for example.com/ipns/?uri=ipns%3A%2F%2F.. produces redirect to /ipns/.. content path", WHY.SUBDOMAINS],
    ["request for {dnslink}.ipns.{gateway} with dnslink=/ipns/{…} returns expected payload", WHY.SUBDOMAINS],
    ["request for {inlined-dnslink}.ipns.{gateway} with dnslink=/ipns/{…} returns expected payload", WHY.SUBDOMAINS],
  ],
  // subdomain_gateway_proxy_test.go
  TestProxyGatewaySubdomains: [
    ["request for {CID}.ipfs.example.com should return expected payload", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{CIDv0} redirects to {CIDv1}.ipfs.example.com", WHY.SUBDOMAINS],
    ["request for {CID}.ipfs.example.com/ipfs/file.txt should return data from a file in CID content root", WHY.SUBDOMAINS],
    ["request for a too long CID at {CIDv1}.ipfs.example.com returns expected payload", WHY.SUBDOMAINS],
  ],
  // subdomain_gateway_proxy_test.go
  TestProxyTunnelGatewaySubdomains: [
    ["request for {CID}.ipfs.example.com should return expected payload", WHY.SUBDOMAINS],
    ["request for example.com/ipfs/{CIDv0} redirects to {CIDv1}.ipfs.example.com", WHY.SUBDOMAINS],
    ["request for {CID}.ipfs.example.com/ipfs/file.txt should return data from a file in CID content root", WHY.SUBDOMAINS],
    ["request for a too long CID at {CIDv1}.ipfs.example.com returns expected payload", WHY.SUBDOMAINS],
  ],
  // path_gateway_ipns_test.go
  TestGatewayIPNSPath: [
    ["GET for /ipns/name with V1-only signature MUST fail with 5XX", WHY.UNRESOLVED],
    ["GET for /ipns/name with valid V1+V2 signatures with V1-vs-V2 value mismatch MUST fail with 5XX", WHY.UNRESOLVED],
    ["GET for /ipns/name with valid V1 and broken V2 signature MUST fail with 5XX", WHY.UNRESOLVED],
  ],
  // path_gateway_unixfs_test.go
  TestUnixFSDirectoryListing: [["path gw: dir listing HTML response (TODO: cleanup Kubo-specifics)", WHY.KUBO]],
  // trustless_gateway_car_test.go
  TestTrustlessCarPathing: [["GET default CAR response of UnixFS file on a path with DAG-CBOR as root CID", WHY.CBOR]],
  TestTrustlessCarDagScopeEntity: [["GET CAR with dag-scope=entity of DAG-CBOR with Links", WHY.CBOR]],
  TestTrustlessCarOrderAndDuplicates: [["GET CAR with order=dfs and dups=n of UnixFS Directory With Duplicate Files", WHY.DUPS]],
};
