"""Every Limelight service in one process, without Docker, JVM or keys."""
