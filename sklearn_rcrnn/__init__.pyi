from . import annotations as annotations
from . import datasets as datasets
from . import displays as displays
from . import evaluation as evaluation
from . import metrics as metrics
from .clip_stream import ClipStream as ClipStream
from .datasets.augmentation import EventAugmentation as EventAugmentation
from .detector import RCRNNDetector as RCRNNDetector
from .displays.report import write_report as write_report
from .events import Event as Event
from .features import LFBETransformer as LFBETransformer
from .frame_level import FrameDetector as FrameDetector
from .inference.files import detect_files as detect_files
from .inference.stream import detect_file as detect_file
from .inference.stream import detect_stream as detect_stream
from .models.averaging import average_weights as average_weights
from .models.onnx import export_onnx as export_onnx
from .models.shipped import list_pretrained as list_pretrained
from .models.shipped import load_pretrained as load_pretrained
from .models.storage import load as load
from .models.storage import save as save
from .nn.recipe import Recipe as Recipe
from .pipeline import make_rcrnn_pipeline as make_rcrnn_pipeline
from .pretraining import CRNNPretrainer as CRNNPretrainer
from .training.augmentation import FeatureAugmentation as FeatureAugmentation
from .tuning import TunedThresholdDetectorCV as TunedThresholdDetectorCV

__version__: str
