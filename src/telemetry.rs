//! Tracing, and the marker for what may be logged.
