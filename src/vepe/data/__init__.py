"""From labelled files to batches: the labels of a data set, clips of it, transforms, tensors.

An annotation has five forms between its JSON and the loss:

1. `formats.annotations.AnnotatedSequence`: what a file says, as Python objects;
2. `label_index.LabelIndex`: the labels of a data set as a few flat arrays, mapped from the cache;
3. `clip.People` in a `clip.Clip`: the labels of one frame, as numpy arrays (`images.ImageIndex`
   makes them, in the model's skeleton, from any number of indices);
4. a sample of tv_tensors, inside `transforms` only: all people of a clip, padded to one size;
5. `losses.targets.Targets` in a `batch.Batch`: torch tensors, padded over the batch.

Where labels come from and how clips are made of them are independent: `read_labels` (annotation
files) or `shards` (tar files) give an index; `image_clips` (pseudo-clips) or `video_clips` cut
clips from it. A clip is a function of seed and number, so that runs can be resumed at any clip.
A new file format belongs in `formats`; a new way to make clips is a class with `__getitem__`
(`sampling.ClipSource`) and a settings class in `config.data`.
"""
