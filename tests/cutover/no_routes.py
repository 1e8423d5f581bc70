"""A host that answers nothing."""

urlpatterns: list[object] = []
