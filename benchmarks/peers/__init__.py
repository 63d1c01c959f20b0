"""Other tracking servers, measured with the same client on the same machine: pinned, in environments of their own."""
