"""What tests are made of, and no test."""
