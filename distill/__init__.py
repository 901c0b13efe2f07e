"""Stage 4: the ensemble's soft labels -> one compact student -> an export that anyone can run.

Paper: label-denoising-large-ensembles, section 3 (figure 2). Verbs, in order:
  train            one of the six extractors, the last layers over them, or the ResNetLike student
  refit            a first-level model again, as an extractor of the re-ranked student
  export.pack      LightGBM over refitted models, for the export
  export.write     weights, JSON and ONNX in one folder, within a size budget, checked
  export.evaluate  an export on the holdout -> the six figures
  predict          an export and any records -> VideoId,LabelConfidencePairs
  evaluate         such a file and labelled records -> the six figures
"""
