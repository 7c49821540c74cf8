"""LIIF (Chen et al., CVPR 2021; yinboc/liif)."""
