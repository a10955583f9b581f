"""The only public HTTP server of Limelight."""
