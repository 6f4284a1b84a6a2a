"""The whole conversation, played on a stage: an operator, a page and a service work together."""
