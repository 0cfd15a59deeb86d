"""Reports on captures, a module for each format. They render and decide nothing."""
