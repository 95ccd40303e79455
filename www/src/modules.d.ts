// Files that the bundler turns into an address or a text.
declare module "peer.wasm" {
  const url: string;
  export default url;
}
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "hls.js/light" {
  export * from "hls.js";
  export { default } from "hls.js";
}
