"""Real servers as local processes, out of package registries: no container engine."""
