"""What the stand-in for faster-whisper needs of CTranslate2."""


def get_cuda_device_count():
    return 0


def set_random_seed(seed):
    pass
