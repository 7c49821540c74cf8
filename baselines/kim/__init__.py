"""Kim et al., CVPR 2024 (zhenshij/arbitrary-scale-diffusion): latent diffusion with an implicit decoder."""
