"""Joint attention of video and text tokens: plain.py says what it is, splash.py does it on TPU, cudnn.py on GPU."""
