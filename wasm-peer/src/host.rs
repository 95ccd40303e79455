//! What the peer asks of the page, and the browser's clock.

use meshlive_protocol::scheduler::Micros;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const HOST: &str = r#"
/** What a `Peer` tells the page. Called from a task of its own, never from within a call of a method of `Peer`. */
export interface Host {
  /** This part is wanted over HTTP from the gateway; `Peer.fetched` answers. */
  fetch(key: string, rendition: string, msn: number, part: number): void;
  /** It is no longer wanted. */
  abort(key: string): void;
  /** `Peer.part` has it. Of parts that nobody demanded, too. */
  ready(key: string): void;
  /** What was demanded is not to be had: the window does not hold it any more. */
  gone(key: string): void;
  /** The verified window moved on; `anew`: it does not continue the one before. */
  news(anew: boolean): void;
  /** The link became too narrow for what is selected; `Peer.estimate` says so from now on. */
  narrowed(): void;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The page's side.
    #[wasm_bindgen(typescript_type = "Host")]
    pub type Host;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Host, key: &str, rendition: &str, msn: f64, part: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn abort(this: &Host, key: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn ready(this: &Host, key: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn gone(this: &Host, key: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn news(this: &Host, anew: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn narrowed(this: &Host) -> Result<(), JsValue>;

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error_value(value: &JsValue);
}

/// Says something to the console that is a bug of ours.
pub fn complain(message: &str) {
    console_error(message);
}

/// One call of the host.
pub enum Call {
    Fetch {
        key: String,
        rendition: String,
        msn: u64,
        part: u32,
    },
    Abort(String),
    Ready(String),
    Gone(String),
    News {
        anew: bool,
    },
    Narrowed,
}

impl Call {
    /// Calls. What the page throws is its own bug: it is told to the console, and changes nothing here.
    pub fn make(&self, host: &Host) {
        let thrown = match self {
            Self::Fetch {
                key,
                rendition,
                msn,
                part,
            } => host.fetch(key, rendition, *msn as f64, *part),
            Self::Abort(key) => host.abort(key),
            Self::Ready(key) => host.ready(key),
            Self::Gone(key) => host.gone(key),
            Self::News { anew } => host.news(*anew),
            Self::Narrowed => host.narrowed(),
        };
        if let Err(error) = thrown {
            console_error_value(&error);
        }
    }
}

/// Microseconds since the page was opened.
pub fn now() -> Micros {
    (performance_now() * 1000.0) as Micros
}
