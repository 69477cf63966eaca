"""Writer of the XML header of Bruker .bcf files."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS_OF_FILE = 4096

_LAYERS = base64.b64encode(zlib.compress(b'<D><Layer0 Atom="13" Thickness="5E-3"/></D>')).decode()


def _image_xml(name: str, planes: dict[str, NDArray[Any]], calibration: str = "") -> str:
    first = next(iter(planes.values()))
    head = (
        f'<ClassInstance Type="TRTImageData"{name}><ItemSize>{first.dtype.itemsize}</ItemSize>'
        f"<Width>{first.shape[1]}</Width><Height>{first.shape[0]}</Height>"
        f"<PlaneCount>{len(planes)}</PlaneCount>{calibration}"
    )
    out = [head]
    for number, (title, data) in enumerate(planes.items()):
        text = base64.b64encode(data.astype(data.dtype.newbyteorder("<")).tobytes()).decode()
        out.append(
            f"<Plane{number}><Description>{escape(title)}</Description><Data>{text}</Data>"
            f"</Plane{number}>"
        )
    return "".join([*out, "</ClassInstance>"])


def _spectrum_xml(number: int, channels: NDArray[Any], details: dict[str, Any]) -> str:
    times = details.get("times_ms")
    hardware = (
        "" if times is None else f"<RealTime>{times[0]}</RealTime><LifeTime>{times[1]}</LifeTime>"
    )
    return (
        f'<SpectrumData{number}><ClassInstance Type="TRTSpectrum"><TRTHeaderedClass>'
        f'<ClassInstance Type="TRTDetectorHeader"><Type>XFlash</Type>'
        f"<DetLayers>{_LAYERS}</DetLayers></ClassInstance>"
        f'<ClassInstance Type="TRTESMAHeader"><PrimaryEnergy>{details["beam_kev"]}</PrimaryEnergy>'
        "<ElevationAngle>35</ElevationAngle><AzimutAngle>45</AzimutAngle></ClassInstance>"
        '<ClassInstance Type="TRTSpectrumHardwareHeader"><Amplification>20000</Amplification>'
        f"{hardware}</ClassInstance></TRTHeaderedClass>"
        '<ClassInstance Type="TRTSpectrumHeader"><Date>1.4.2016</Date><Time>18:5:9</Time>'
        f"<ChannelCount>{channels.size}</ChannelCount><CalibAbs>{details['offset_kev']}</CalibAbs>"
        f"<CalibLin>{details['scale_kev']}</CalibLin></ClassInstance>"
        f"<Channels>{','.join(map(str, channels.tolist()))}</Channels>"
        f"</ClassInstance></SpectrumData{number}>"
    )


def header_xml(
    shape: tuple[int, int],
    spectra: dict[int, NDArray[Any]],
    *,
    scale_kev: float = 0.01,
    offset_kev: float = -0.47,
    pixel_um: tuple[float, float] | None = (0.5, 0.5),
    beam_kev: float = 20,
    name: str = "a map",
    images: dict[str, NDArray[Any]] | None = None,
    overview: dict[str, NDArray[Any]] | None = None,
    stage: dict[str, float] | None = None,
    lines: dict[str, str] | None = None,
    times_ms: tuple[float, float] | None = None,
    comma: bool = False,
) -> bytes:
    """XML header; ``pixel_um`` is (height, width), ``stage`` in micrometres and degrees."""
    rows, columns = shape
    if images is None:
        ramp = np.add.outer(np.arange(rows), np.arange(columns)) + 1
        images = {"BSE": (ramp % 65_536).astype(np.uint16)}
    details = {"beam_kev": beam_kev, "scale_kev": scale_kev, "offset_kev": offset_kev}
    scale = "" if pixel_um is None else f"<DX>{pixel_um[1]!r}</DX><DY>{pixel_um[0]!r}</DY>"
    position = "".join(f"<{key}>{value}</{key}>" for key, value in (stage or {}).items())
    regions = "".join(
        f'<ClassInstance Type="TRTSpectrumRegion" Name={quoteattr(element)}>'
        f"<Line>{line}</Line><Energy>1.0</Energy></ClassInstance>"
        for element, line in (lines or {}).items()
    )
    children = (
        '<ClassInstance Type="TRTElementInformationList">'
        '<ClassInstance Type="TRTSpectrumRegionList"><ChildClassInstances>'
        f"{regions}</ChildClassInstances></ClassInstance></ClassInstance>"
    )
    if overview is not None:
        calibration = "<XCalibration>0.25</XCalibration><YCalibration>0.5</YCalibration>"
        picture = _image_xml(' Name="x"', overview, calibration)
        children += (
            '<ClassInstance Type="TRTContainerClass" Name="OverviewImages"><ChildClassInstances>'
            f"{picture}</ChildClassInstances></ClassInstance>"
        )
    text = (
        '<?xml version="1.0" encoding="WINDOWS-1252" standalone="yes"?>'
        "<TRTSpectrumDatabase><RTHeader/>"
        f'<ClassInstance Type="TRTSpectrumDatabase" Name={quoteattr(name)}>'
        "<Header><Date>1.4.2016</Date><Time>18:5:9</Time>"
        f"<FileVersion>{1 if overview is None else 2}</FileVersion></Header>"
        f'<ClassInstance Type="TRTSEMData"><HV>{beam_kev}</HV><Mag>100</Mag>{scale}</ClassInstance>'
        f'<ClassInstance Type="TRTSEMStageData"><State>1</State>{position}</ClassInstance>'
        '<ClassInstance Type="TRTDSPConfiguration"><LineAverage>2</LineAverage>'
        "<PixelAverage>16</PixelAverage><PixelTime>2</PixelTime></ClassInstance>"
        f"{_image_xml('', images) if images else ''}"
        f'<ClassInstance Type="TRTContainerClass"><ChildClassInstances>{children}'
        "</ChildClassInstances></ClassInstance>"
        f"<LineCounter>{','.join(['3'] * rows)}</LineCounter>"
        f"<ChCount>{CHANNELS_OF_FILE}</ChCount><DetectorCount>1</DetectorCount>"
        + "".join(
            _spectrum_xml(number, channels, {**details, "times_ms": times_ms})
            for number, channels in spectra.items()
        )
        + "</ClassInstance></TRTSpectrumDatabase>"
    )
    if comma:
        text = text.replace(f">{scale_kev}<", f">{str(scale_kev).replace('.', ',')}<")
    return text.encode("cp1252")
