"""Many videos on many machines: tasks, the workers that do them, and a scheduler."""
