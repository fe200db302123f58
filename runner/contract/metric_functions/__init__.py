"""The arithmetic of the metrics, exactly as Kaggle scores. Apart from them, so that plugins import no numpy.

Every function takes targets and values. Targets are the class number of each row, or a matrix (rows, columns):
one-hot, 0 and 1, or numbers, NaN where a number is not known. Values are a matrix (rows, columns).
"""
