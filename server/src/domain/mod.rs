//! What the server decides. Knows no HTTP and no SQL.
