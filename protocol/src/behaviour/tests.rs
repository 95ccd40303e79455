//! Swarms of real peers over memory transports: the engine, the driver, Noise and yamux, all in one task.

mod hostile;
mod links;
mod node;
mod raw;
