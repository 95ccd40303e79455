// path_gateway_ipns_test.go and trustless_gateway_ipns_test.go

import assert from "node:assert/strict";
import { unmarshalIPNSRecord } from "ipns";
import { ipnsValidator } from "ipns/validator";
import { base36 } from "multiformats/bases/base36";
import { CID } from "multiformats/cid";
import { ask, matches, once } from "./expect.mjs";

const resolves = (which) => once(({ f }) => ({ path: `/ipns/${f.names[which].name}` }), ({ f }) => ({ status: 200, body: f.bytes.json }));
const canonical = (which) => once(({ f }) => ({ path: `/ipns/${f.names[which].peer}/root2/` }), ({ f }) => ({ status: 302, headers: { location: `/ipns/${f.names[which].name}/root2/` } }));
const record = (which, query, headers) => async (at) => {
  const { name, value } = at.f.names[which];
  const answer = await ask(at, `/ipns/${name}${query}`, { headers });
  matches(answer, {
    status: 200,
    headers: { "content-disposition": /^attachment;/, "content-type": /^application\/vnd\.ipfs\.ipns-record/, "cache-control": /public, max-age=1800/ },
  });
  const key = Buffer.concat([Buffer.from("/ipns/"), CID.parse(name, base36).multihash.bytes]);
  await ipnsValidator(key, answer.body);
  assert.equal(unmarshalIPNSRecord(answer.body).value, value);
};
const QUERY = "?format=ipns-record";
const ACCEPT = { accept: "application/vnd.ipfs.ipns-record" };

export const claimed = {
  TestGatewayIPNSPath: {
    "GET for /ipns/name with valid V2 and broken V1 signature succeeds": resolves("brokenV1"),
    "GET for /ipns/name with valid V1+V2 signatures succeeds": resolves("both"),
    "GET for /ipns/name with valid V2-only signature succeeds": resolves("v2"),
  },
  TestRedirectCanonicalIPNS: {
    "GET for /ipns/{b58-multihash-of-ed25519-key} redirects to /ipns/{cidv1-libp2p-key-base36}": canonical("both"),
    "GET for /ipns/{cidv0-like-b58-multihash-of-rsa-key} redirects to /ipns/{cidv1-libp2p-key-base36}": canonical("rsa"),
  },
  TestGatewayIPNSRecordWithSubpath: {
    "GET /ipns/{key}/root3/root4/index.html returns file when IPNS record Value has sub-path": once(({ f }) => ({ path: `/ipns/${f.names.below.name}/root3/root4/index.html` }), () => ({ status: 200, body: "hello\n" })),
  },
  TestGatewayIPNSRecord: {
    "GET IPNS Record (V1+V2) with format=ipns-record has expected HTTP headers and valid key": record("both", QUERY, {}),
    "GET IPNS Record (V2) with format=ipns-record has expected HTTP headers and valid key": record("v2", QUERY, {}),
    "GET IPNS Record (V1+V2) with 'Accept: application/vnd.ipfs.ipns-record' has expected HTTP headers and valid key": record("both", "", ACCEPT),
    "GET IPNS Record (V2) with 'Accept: application/vnd.ipfs.ipns-record' has expected HTTP headers and valid key": record("v2", "", ACCEPT),
    "GET IPNS Record with explicit ?filename= succeeds with modified Content-Disposition header": once(
      ({ f }) => ({ path: `/ipns/${f.names.both.name}?format=ipns-record&filename=testтест.ipns-record` }),
      () => ({ status: 200, headers: { "content-disposition": "attachment; filename=\"test____.ipns-record\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.ipns-record" } }),
    ),
  },
};
