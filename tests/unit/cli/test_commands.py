"""Commands are added with a help text that fits a terminal of any width."""

from workflow_ray.cli.commands import paragraphs


def test_each_paragraph_of_a_docstring_becomes_one_line() -> None:
    docstring = """Do this.

        It takes a while, and the sentence
        goes on in the next line.

        A last one.
        """
    assert paragraphs(docstring).split("\n\n") == [
        "Do this.",
        "It takes a while, and the sentence goes on in the next line.",
        "A last one.",
    ]
