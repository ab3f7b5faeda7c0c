"""The files of a split of a stored dataset: its matrix (safetensors, npz or HDF5), and its rows by month (Parquet).

The matrix has the values as windows use them, R rows of F features, T targets and K columns known ahead, region after
region and hour after hour, with W windows:

    hour                    (R,) int64     start of the hour, hours since 1970-01-01T00 UTC
    starts                  (W,) int64     row at which each window starts
    region                  (R,) int32     index into the dataset's regions
    features                (R, F)         float32, float16 or bfloat16; 0 where a value is missing
    targets                 (R, T)         the same
    future_covariates       (R, K)         only if the columns known ahead are not all among the features
    features_mask           (R, F) bool    True where the source has the value
    targets_mask            (R, T) bool
    future_covariates_mask  (R, K) bool

Its metadata name the columns and regions, so that the file can be read on its own. Parquet has the same rows in the
units of the source, as 32-bit floats, NULL where a value is missing.
"""
