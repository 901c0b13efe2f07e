"""Several networks stored together: what an export folder holds, and how it is built again."""
