"""What diffusion models and classifiers learn of the same data: Han, Huang, Cao & Zou 2025 (arXiv 2412.01021)."""
