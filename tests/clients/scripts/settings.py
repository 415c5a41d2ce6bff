"""Settings of pydantic that lie in secrets.yaml, encrypted."""

from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings_sops import SOPSConfigSettingsSource


class Settings(BaseSettings):
    model_config = SettingsConfigDict(yaml_file="secrets.yaml")

    user: str
    password: str
    port: int

    @classmethod
    def settings_customise_sources(cls, settings_cls, **_):
        return (SOPSConfigSettingsSource(settings_cls),)


settings = Settings()
print(settings.user, settings.password, settings.port)
