"""Made-up cities for the practice portal: `springfield()`, about 280 items of every sort, and `generated()`, any size.

Each item carries what a correct backup by an administrator with the default options must say of it. The check level is
that of its payload: the data where there is any, the exported rows of a service, else the resources.
"""

from agolkit.sandbox.city.generated import generated
from agolkit.sandbox.city.springfield import springfield

__all__ = ["generated", "springfield"]
