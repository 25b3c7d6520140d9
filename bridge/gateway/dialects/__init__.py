"""HTTP bodies to validated calls and answers to HTTP bodies: V2 JSON, V2 binary, MessagePack."""
