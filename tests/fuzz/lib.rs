//! The library behind the fuzz targets: one body per target, named.

mod bodies;

/// Runs the body of a target on these bytes; panics if the product breaks a promise.
pub fn run(target: &str, data: &[u8]) {
    bodies::run(target, data);
}
