"""What the scenarios share: hosts, sidecars, applications, load, and claims."""
