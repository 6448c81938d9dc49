"""What the OpenAPI document says about the command side: a module for each of its views'."""
