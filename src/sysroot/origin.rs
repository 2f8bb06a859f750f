//! Origin files: where a deployment came from.
