"""Who holds the data and scores submissions: Kaggle itself, or the practice host on this disk."""
