"""What every Limelight process needs besides its job: settings, logs, traces, health, shutdown."""
