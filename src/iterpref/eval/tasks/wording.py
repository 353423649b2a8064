"""Sentences and marks that belong to a benchmark's protocol: models are compared by these very words, so none is ours.

EvalPlus (github.com/evalplus/evalplus, `codegen.py` and `provider/utility.py`), whose form BigCodeBench shares
(github.com/bigcode-project/bigcodebench, `generate.py`); MBPP (arXiv:2108.07732, section 3); LiveCodeBench
(github.com/LiveCodeBench/LiveCodeBench, `lcb_runner/prompts/code_generation.py`); HumanEval's stop marks
(arXiv:2107.03374, section 2.3).
"""

from __future__ import annotations

from iterpref.eval.tasks.task import Messages

SCRIPT_ASKED = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
)
SCRIPT_BEGINS = (
    "Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:"
)
FENCE = "```"
CHAT_STOPS = ("\n```\n", "<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
SCRIPT_STOPS = CHAT_STOPS[1:]
FUNCTION_STOPS = (*SCRIPT_STOPS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
TEXT_STOPS = (*SCRIPT_STOPS, '\n"""', "\nassert")
HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
MBPP_TASK = (
    "You are an expert Python programmer, and here is your task: {text} Your code should pass these tests:\n\n{tests}\n"
)
MBPP_BEGIN, MBPP_DONE = "[BEGIN]\n", "[DONE]"
LCB_SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests. You will NOT return anything except "
    "for the program."
)
LCB_STARTER = "You will use the following starter code to write the solution to the problem and enclose your code within delimiters."
LCB_STDIN = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows."
)


def script_chat(text: str, fenced: bool) -> tuple[Messages, str]:
    """EvalPlus's chat: the task, fenced when it is code, and an answer that has already begun."""
    body = f"{FENCE}\n{text.strip()}\n{FENCE}\n" if fenced else f"{text.strip()}\n"
    return [{"role": "user", "content": f"{SCRIPT_ASKED}\n{body}"}], f"{SCRIPT_BEGINS}\n{FENCE}python\n"


def written(text: str, stops: tuple[str, ...]) -> str:
    """What EvalPlus and BigCodeBench make of a model's words before they look for a program: cut, and without tabs."""
    return cut(text, stops).replace("\t", "    ")


def cut(text: str, stops: tuple[str, ...]) -> str:
    """`text` up to the first of the stops."""
    ends = [found for stop in stops if (found := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
