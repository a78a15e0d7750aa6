"""What the tests from outside share: the server's process, a receiver, waiting, and words for the API."""
