"""Tags of the splits of MTG-Jamendo, as its project lists them: what is left of each category after rare tags were discarded."""

from __future__ import annotations


def _tags(category: str, names: str) -> tuple[str, ...]:
    return tuple(f"{category}---{name}" for name in names.split())


GENRES = _tags(
    "genre",
    """
    60s 70s 80s 90s acidjazz alternative alternativerock ambient atmospheric blues bluesrock bossanova breakbeat celtic chanson
    chillout choir classical classicrock club contemporary country dance darkambient darkwave deephouse disco downtempo drumnbass
    dub dubstep easylistening edm electronic electronica electropop ethno eurodance experimental folk funk fusion groove grunge
    hard hardrock hiphop house idm improvisation indie industrial instrumentalpop instrumentalrock jazz jazzfusion latin lounge
    medieval metal minimal newage newwave orchestral pop popfolk poprock postrock progressive psychedelic punkrock rap reggae rnb
    rock rocknroll singersongwriter soul soundtrack swing symphonic synthpop techno trance triphop world worldfusion
    """,
)

INSTRUMENTS = _tags(
    "instrument",
    """
    accordion acousticbassguitar acousticguitar bass beat bell bongo brass cello clarinet classicalguitar computer doublebass
    drummachine drums electricguitar electricpiano flute guitar harmonica harp horn keyboard oboe orchestra organ pad percussion
    piano pipeorgan rhodes sampler saxophone strings synthesizer trombone trumpet viola violin voice
    """,
)

MOODS_AND_THEMES = _tags(
    "mood/theme",
    """
    action adventure advertising background ballad calm children christmas commercial cool corporate dark deep documentary drama
    dramatic dream emotional energetic epic fast film fun funny game groovy happy heavy holiday hopeful inspiring love meditative
    melancholic melodic motivational movie nature party positive powerful relaxing retro romantic sad sexy slow soft soundscape
    space sport summer trailer travel upbeat uplifting
    """,
)

TOP_50 = (
    *_tags(
        "genre",
        """
    alternative ambient atmospheric chillout classical dance downtempo easylistening electronic experimental folk funk hiphop
    house indie instrumentalpop jazz lounge metal newage orchestral pop popfolk poprock reggae rock soundtrack techno trance
    triphop world
    """,
    ),
    *_tags(
        "instrument",
        """
    acousticguitar bass computer drummachine drums electricguitar electricpiano guitar keyboard piano strings synthesizer violin
    voice
    """,
    ),
    *_tags("mood/theme", "emotional energetic film happy relaxing"),
)
