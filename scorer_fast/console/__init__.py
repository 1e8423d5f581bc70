"""The pages of the admin, and health: what people and load balancers see."""
