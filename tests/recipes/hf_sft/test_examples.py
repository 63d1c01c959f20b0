"""What is learned of a record: completions and the assistant's turns, each with its end token."""

import pytest

USER, ANSWER = {"role": "user", "content": "red one cat"}, {"role": "assistant", "content": "cat one red"}
SYSTEM, LAST = {"role": "system", "content": "Turn round."}, {"role": "assistant", "content": "one red cat"}
CHAT = [SYSTEM, USER, ANSWER, USER, LAST]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As some templates do: the last answer has something before it that earlier ones have not.
THINKING = CHATML.replace(
    "\n{{ message.content", "\n{% if loop.last %}<think>\n\n</think>\n\n{% endif %}{{ message.content"
)
SHORTENING = CHATML.replace("message.content | trim", "message.content.split('|')[-1]")


@pytest.fixture
def learned(inside, tiny_llama):
    """Return a function that gives whole and learned text of a record."""
    return lambda record, **options: inside.call("learned_text", model=tiny_llama, record=record, **options)


def test_of_a_pair_the_completion_and_the_end_are_learned(learned):
    found = learned({"prompt": "red one cat:", "completion": " cat one red"})

    assert found == {"all": "red one cat: cat one red</s>", "learned": " cat one red</s>"}


def test_an_end_that_the_tokenizer_adds_is_learned_once_and_its_start_is_not(learned):
    pair = {"prompt": "red one cat:", "completion": " cat one red"}
    assert learned(pair, adds_ends=True) == {
        "all": "<s>red one cat: cat one red</s>",
        "learned": " cat one red</s>",
    }
    assert learned({"text": "red one cat"}, adds_ends=True)["learned"] == "red one cat</s>"


def test_with_loss_on_all_the_prompt_is_learned_but_for_its_first_token(learned):
    found = learned({"prompt": "red one cat:", "completion": " cat"}, loss_on="all")

    assert found["learned"].endswith(" one cat: cat</s>")
    assert found["all"].endswith(found["learned"])
    assert found["all"] != found["learned"]


def test_a_token_over_the_border_belongs_to_the_completion(learned):
    assert learned({"prompt": "red one c", "completion": "at"})["learned"].endswith("cat</s>")


def test_of_a_text_all_is_learned(learned):
    assert learned({"text": "red one cat"})["all"] == "red one cat</s>"


@pytest.mark.parametrize("template", [CHATML, THINKING])
def test_of_a_chat_what_the_assistant_says_is_learned_with_its_end_token(learned, template):
    found = learned({"messages": CHAT}, template=template)

    assert found["learned"] == "cat one red<|im_end|>one red cat<|im_end|>"
    assert found["all"].startswith("<|im_start|>system\nTurn round.<|im_end|>\n<|im_start|>user\nred one cat")


def test_without_a_template_chats_are_written_plainly(learned):
    found = learned({"messages": [USER, ANSWER]})

    assert found == {
        "all": "<s><|user|>\nred one cat\n<|assistant|>\ncat one red</s>\n",
        "learned": "cat one red</s>",
    }


def test_words_of_the_frame_that_are_also_said_do_not_confuse(learned):
    chat = [{"role": "user", "content": "assistant"}, {"role": "assistant", "content": "user"}]

    assert learned({"messages": chat}, template=CHATML)["learned"] == "user<|im_end|>"


def test_white_space_that_a_template_trims_is_not_missed(learned):
    chat = [USER, {"role": "assistant", "content": "  cat \n"}]

    assert learned({"messages": chat}, template=CHATML)["learned"] == "cat<|im_end|>"


def test_answers_in_the_prompt_are_not_learned(learned):
    found = learned({"prompt": [USER, ANSWER, USER], "completion": [LAST]}, template=CHATML)

    assert found["learned"] == "one red cat<|im_end|>"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "a record must have messages"),
        ({"question": "x", "answer": "y"}, "this one has answer, question"),
        ({"text": 5}, "a record must have messages"),
        ({"prompt": "x"}, "a record must have messages"),
        ({"prompt": "x", "completion": [LAST]}, "two texts or two lists of messages"),
        ({"messages": []}, "a list that is not empty"),
        ({"messages": "hello"}, "a list that is not empty"),
        ({"messages": [{"role": "user"}]}, "message 1 must have role and content"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "message 2 must have role and content"),
        ({"messages": [SYSTEM, USER]}, "no message to learn has the role assistant"),
        ({"prompt": [USER, ANSWER], "completion": [USER]}, "no message to learn has the role assistant"),
    ],
)
def test_a_record_that_is_no_example_is_named_with_its_line(learned, record, reason):
    refused = learned(record, template=CHATML)["refused"]

    assert refused.startswith("data.jsonl, line 7: ")
    assert reason in refused


def test_a_template_that_rewrites_what_is_said_is_refused(learned):
    chat = [USER, {"role": "assistant", "content": "thought|cat"}]

    assert "rewrites messages" in learned({"messages": chat}, template=SHORTENING)["refused"]


def test_a_template_that_raises_says_why(learned):
    refused = learned({"messages": CHAT}, template="{{ raise_exception('no system role') }}")["refused"]

    assert "refuses the messages: no system role" in refused


def test_long_examples_are_cut_and_those_with_nothing_left_to_learn_left_out(inside, tiny_llama):
    long_answer = {"prompt": "red:", "completion": " cat" * 50}
    long_prompt = {"prompt": "red " * 50, "completion": "cat"}

    assert inside.call("lengths_of", model=tiny_llama, records=[long_answer, long_prompt], sequence_length=16) == [16]
