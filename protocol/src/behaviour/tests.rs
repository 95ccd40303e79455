//! Two and more Swarms over memory transports.
