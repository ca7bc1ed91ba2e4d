"""Many workers that start cold at once under a rate limit: in processes, and in a model that runs the core's rule."""
