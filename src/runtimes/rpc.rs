//! Newline JSON-RPC.
