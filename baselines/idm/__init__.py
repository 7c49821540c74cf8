"""IDM (Gao et al., CVPR 2023; Ree1s/IDM)."""
