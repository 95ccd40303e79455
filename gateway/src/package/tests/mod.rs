//! The packager as a whole; `sample` makes streams, `read` reads parts back.

mod change;
mod foreign;
mod golden;
mod lag;
mod property;
pub(crate) mod read;
pub(crate) mod sample;
mod steady;
