"""What sentence-transformers runs gives its vectors and scores, behind our own classes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
)

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.backends.choosing import ENGINE, SENTENCE_TRANSFORMERS, embedder_backend, reranker_backend
from qwen_agentkit.backends.engine_embedder import EngineEmbedder
from qwen_agentkit.backends.sentence_models import SentenceEmbedder
from qwen_agentkit.errors import InputError, InputTooLongError, ModelError, ModelUnsupportedError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION, RERANK_PREFIX
from tests.conftest import bundled

TEXTS = ["the library opens at nine", "boats", "", "a [SEP] b", "leave " * 9]
PROMPTS = {"query": "query: ", "document": "passage: "}
INSTRUCTED = f"Instruct: {DEFAULT_INSTRUCTION}\nQuery:"

# Most tokens that the tiny encoders read.
LONGEST = 64


def words() -> PreTrainedTokenizerFast:
    """A word-piece tokenizer whose pieces are letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{one}" for one in letters),
        *":[]",
    ]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=LONGEST,
    )


def bert_config(**changes: object) -> BertConfig:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertConfig(vocab_size=len(words()), max_position_embeddings=LONGEST, **shape, **changes)


def save(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    """Save a model with larger weights than it begins with, so that texts differ."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT in sentence-transformers' format: mean pooling, a dense layer, prompts."""
    torch.manual_seed(0)
    plain = save(BertModel(bert_config()), words(), tmp_path_factory.mktemp("plain-bert"))
    modules = [Transformer(str(plain)), Pooling(32, "mean"), Dense(32, 24)]
    folder = tmp_path_factory.mktemp("bert-embedder")
    SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def cross_encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a random BERT cross-encoder; returns its folder."""

    def make(labels: int = 1, activation: torch.nn.Module | None = None) -> Path:
        torch.manual_seed(1)
        config = bert_config(num_labels=labels)
        model = BertForSequenceClassification(config)
        plain = save(model, words(), tmp_path_factory.mktemp("plain-cross-encoder"))
        folder = tmp_path_factory.mktemp("cross-encoder")
        CrossEncoder(str(plain), activation_fn=activation, device="cpu").save_pretrained(str(folder))
        return folder

    return make


@pytest.fixture(scope="session")
def qwen_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a random Qwen3 fine-tune with sentence-transformers; returns its folder."""

    def make(pooling: str = "lasttoken", prompts: dict[str, str] | None = None, *, ends: bool = True) -> Path:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(bundled("nano-embedding"))
        tokenizer.model_max_length = 512
        tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        if ends:
            end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
            tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
                single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", end)]
            )
        shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 16}
        torch.manual_seed(2)
        model = Qwen3Model(
            Qwen3Config(vocab_size=len(tokenizer), num_attention_heads=4, num_key_value_heads=2, **shape)
        )
        plain = save(model, tokenizer, tmp_path_factory.mktemp("plain-qwen"))
        modules = [Transformer(str(plain)), Pooling(64, pooling), Normalize()]
        folder = tmp_path_factory.mktemp("qwen-embedder")
        saved = SentenceTransformer(modules=modules, prompts=prompts or {"query": INSTRUCTED}, device="cpu")
        saved.save_pretrained(str(folder))
        return folder

    return make


def ours(folder: Path, **settings: object) -> QwenEmbeddings:
    return QwenEmbeddings(model=str(folder), device="cpu", dtype="float32", **settings)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def assert_equal_to_sentence_transformers(embeddings: QwenEmbeddings, folder: Path, texts: list[str]) -> None:
    theirs = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(embeddings.embed_array(texts), unit(theirs.encode_document(texts)), atol=1e-5)
    queries = unit(theirs.encode_query(texts))
    np.testing.assert_allclose([embeddings.embed_query(text) for text in texts], queries, atol=1e-5)
    assert not np.allclose(queries, embeddings.embed_array(texts), atol=1e-3)


class TestIntegration(EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _folder(self, bert_dir: Path) -> None:
        self.folder = bert_dir

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return QwenEmbeddings

    @property
    def embedding_model_params(self) -> dict:
        return {"model": str(self.folder), "device": "cpu"}


def test_a_bert_embedder_with_its_prompts_and_layers(bert_dir: Path) -> None:
    texts = [text for text in TEXTS if "[SEP]" not in text]
    embeddings = ours(bert_dir)
    assert isinstance(embeddings._backend, SentenceEmbedder)
    assert_equal_to_sentence_transformers(embeddings, bert_dir, texts)
    assert embeddings.count_tokens(["ab c", ""]) == [3, 0]


def test_special_tokens_in_a_text_are_plain_text(bert_dir: Path) -> None:
    assert ours(bert_dir).count_tokens(["a [SEP] b"]) == [7]
    marked, spelled = ours(bert_dir).embed_array(["a [SEP] b", "a [ sep ] b"])
    np.testing.assert_allclose(marked, spelled, atol=1e-5)


def test_a_fine_tuned_qwen_that_reads_the_last_token_runs_on_the_engine(qwen_dir) -> None:
    folder = qwen_dir()
    assert isinstance(ours(folder)._backend, EngineEmbedder)
    assert_equal_to_sentence_transformers(ours(folder), folder, TEXTS)


@pytest.mark.parametrize(
    "prompts",
    [{"query": "Find: ", "document": "Text: "}, {"query": "Instruct: Find the law\nQuery:"}],
    ids=["bare", "instructed"],
)
def test_the_engine_reads_the_prompts_that_were_saved(qwen_dir, prompts: dict[str, str]) -> None:
    folder = qwen_dir(prompts=prompts)
    assert embedder_backend(folder) == ENGINE
    assert_equal_to_sentence_transformers(ours(folder), folder, TEXTS)


@pytest.mark.parametrize("saved", [{"pooling": "mean"}, {"ends": False}], ids=["mean", "no-end"])
def test_a_qwen_that_is_read_in_another_way_runs_through_sentence_transformers(qwen_dir, saved: dict) -> None:
    folder = qwen_dir(**saved)
    assert isinstance(ours(folder)._backend, SentenceEmbedder)
    assert_equal_to_sentence_transformers(ours(folder), folder, TEXTS[:2])


def test_a_qwen_that_attends_in_both_directions(qwen_dir) -> None:
    folder = qwen_dir(pooling="mean")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "is_causal": False}))
    assert_equal_to_sentence_transformers(ours(folder), folder, TEXTS[:2])
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        one, other = (model(torch.tensor([ids])).last_hidden_state[0, 0] for ids in ([5, 6, 7], [5, 6, 8]))
    assert not torch.allclose(one, other, atol=1e-3), "the first token sees the last"


def test_a_table_of_word_vectors(tmp_path: Path) -> None:
    table = StaticEmbedding(words().backend_tokenizer, embedding_dim=16)
    SentenceTransformer(modules=[table], device="cpu").save_pretrained(str(tmp_path))
    texts = [*TEXTS[:2], "boats leave " * 100]
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(ours(tmp_path).embed_array(texts), unit(theirs.encode(texts)), atol=1e-5)


def test_layers_of_their_own_for_queries(bert_dir: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    table = StaticEmbedding(words().backend_tokenizer, embedding_dim=32)
    router = Router.for_query_document([table], [Transformer(str(bert_dir)), Pooling(32, "mean")])
    SentenceTransformer(modules=[router], device="cpu").save_pretrained(str(tmp_path / "two"))
    embeddings = ours(tmp_path / "two", cache=tmp_path / "cache")
    theirs = SentenceTransformer(str(tmp_path / "two"), device="cpu")
    for _ in range(2):
        found = embeddings.embed_documents(["boats"])[0], embeddings.embed_query("boats")
        expected = theirs.encode_document(["boats"])[0], theirs.encode_query(["boats"])[0]
        np.testing.assert_allclose(found, unit(np.stack(expected)), atol=1e-3)


def test_an_instruction_fills_the_prompt_that_has_a_place_for_it(qwen_dir, bert_dir: Path) -> None:
    folder = qwen_dir("mean")
    theirs = SentenceTransformer(str(folder), device="cpu")
    expected = unit(theirs.encode(["rent"], prompt="Instruct: Find the clause\nQuery:"))[0]
    found = ours(folder, instruction="Find the clause").embed_query("rent")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    bare = ours(bert_dir, instruction="")
    theirs = SentenceTransformer(str(bert_dir), device="cpu")
    np.testing.assert_allclose(bare.embed_query("rent"), unit(theirs.encode(["rent"]))[0], atol=1e-5)
    with pytest.raises(InputError, match="no place in the prompt 'query: '"):
        ours(bert_dir).with_instruction("Find the clause").embed_query("rent")


def test_fewer_dimensions_are_a_cut_of_length_one(bert_dir: Path) -> None:
    full = ours(bert_dir).embed_array(TEXTS)
    assert full.shape == (len(TEXTS), 24)
    np.testing.assert_allclose(ours(bert_dir, dimensions=8).embed_array(TEXTS), unit(full[:, :8]), atol=1e-6)
    with pytest.raises(InputError, match="25 is more than the 24"):
        ours(bert_dir, dimensions=25).embed_query("x")


def test_a_long_text_is_cut_with_a_warning_and_a_query_never(bert_dir: Path) -> None:
    long = "boats leave " * 30
    theirs = SentenceTransformer(str(bert_dir), device="cpu")
    with pytest.warns(UserWarning, match=r"1 of 2 texts are longer than max_length=64 .* text 1 \('boats"):
        vectors = ours(bert_dir).embed_array(["short", long])
    np.testing.assert_allclose(vectors, unit(theirs.encode_document(["short", long])), atol=1e-5)
    theirs.max_seq_length = 20
    with pytest.warns(UserWarning, match="max_length=20"):
        vectors = ours(bert_dir, max_length=20).embed_array([long])
    np.testing.assert_allclose(vectors, unit(theirs.encode_document([long])), atol=1e-5)
    with pytest.raises(InputTooLongError, match="at most 64 fit"):
        ours(bert_dir).embed_query(long)
    with pytest.raises(InputTooLongError, match="'boats leave"):
        ours(bert_dir, truncate=False).embed_array(["short", long])


def test_deterministic_vectors_are_equal_to_the_bit(bert_dir: Path) -> None:
    strict = ours(bert_dir, deterministic=True)
    alone = np.concatenate([strict.embed_array([text]) for text in TEXTS])
    np.testing.assert_array_equal(strict.embed_array(TEXTS[::-1])[::-1], alone)
    np.testing.assert_allclose(ours(bert_dir).embed_array(TEXTS), alone, atol=1e-5)


def test_what_is_cached_loads_no_weights(bert_dir: Path, tmp_path: Path) -> None:
    first = ours(bert_dir, cache=tmp_path)
    vectors, query = first.embed_array(TEXTS), first.embed_query("when")
    later = ours(bert_dir, cache=tmp_path)
    np.testing.assert_array_equal(later.embed_array(TEXTS), vectors)
    assert later.embed_query("when") == query
    assert later.fingerprint == first.fingerprint
    assert "loaded" not in vars(later._backend)
    other = QwenEmbeddings(model=str(bert_dir), device="cpu", dtype="bfloat16", cache=tmp_path)
    other.embed_array(TEXTS[:1])
    assert "loaded" in vars(other._backend)


def test_the_fingerprint_tells_every_module_apart(bert_dir: Path, tmp_path: Path) -> None:
    made = ours(bert_dir).fingerprint
    assert made["model"] == bert_dir.name
    assert str(made["revision"]).endswith("+sentence-transformers")
    changed = tmp_path / bert_dir.name
    shutil.copytree(bert_dir, changed)
    weights = changed / "2_Dense" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert ours(changed).fingerprint["revision"] != made["revision"]


def test_settings_of_the_engine_are_refused(bert_dir: Path, cross_encoder_dir) -> None:
    with pytest.raises(InputError, match="adapter='some/lora' cannot be used"):
        ours(bert_dir, adapter="some/lora").embed_query("x")
    with pytest.raises(InputError, match="quantize='int8' cannot be used"):
        QwenReranker(model=str(cross_encoder_dir()), quantize="int8").score([("a", "b")])
    with pytest.raises(InputError, match="Unknown dtype 'float8'"):
        QwenEmbeddings(model=str(bert_dir), dtype="float8").embed_query("x")
    with pytest.raises(InputError, match="device='cuda:99' is not there"):
        QwenEmbeddings(model=str(bert_dir), device="cuda:99").embed_query("x")


def test_weights_that_can_run_code_are_refused(bert_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(bert_dir, folder)
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(ModelUnsupportedError, match=r"2_Dense.pytorch_model\.bin' can run code"):
        ours(folder).embed_query("x")


def test_code_of_a_checkpoint_is_never_run(bert_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own-code"
    shutil.copytree(bert_dir, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "own.Layer"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "own.py").write_text("raise SystemExit('code was run')")
    with pytest.raises(ModelUnsupportedError, match="cannot load 'own-code'"):
        ours(folder).embed_query("x")


def test_a_folder_that_does_not_say_how_it_pools_is_warned_of(bert_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_dir, tmp_path / "plain")
    (tmp_path / "plain" / "modules.json").unlink()
    with pytest.warns(UserWarning, match=r"no modules\.json.*mean"):
        vectors = ours(tmp_path / "plain").embed_array(["boats"])
    theirs = SentenceTransformer(str(tmp_path / "plain"), device="cpu")
    np.testing.assert_allclose(vectors, unit(theirs.encode(["passage: boats"])), atol=1e-5)


def test_weights_that_are_not_numbers_are_an_error(bert_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(bert_dir, folder)
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.LayerNorm.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match="vectors that are not numbers"):
        ours(folder).embed_query("x")


PAIRS = [
    ("when does it open", "at nine"),
    ("when does it open", "boats leave at seven in the morning"),
    ("boats", "at nine"),
    ("when does it open", "at nine"),
]


def test_a_cross_encoder_gives_its_own_scores(cross_encoder_dir) -> None:
    folder = cross_encoder_dir()
    assert reranker_backend(folder) == SENTENCE_TRANSFORMERS
    expected = CrossEncoder(str(folder), device="cpu").predict(PAIRS)
    reranker = QwenReranker(model=str(folder), device="cpu")
    assert reranker.score(PAIRS) == pytest.approx(list(expected), abs=1e-5)
    assert len(set(reranker.score(PAIRS[:3]))) == 3
    alone = QwenReranker(model=str(folder), device="cpu", deterministic=True)
    assert alone.score(PAIRS) == [alone.score([pair])[0] for pair in PAIRS]
    with pytest.raises(InputError, match="instruction='Find' is not read"):
        QwenReranker(model=str(folder), instruction="Find").score(PAIRS)


def test_bare_logits_become_scores(cross_encoder_dir) -> None:
    folder = cross_encoder_dir(activation=torch.nn.Identity())
    logits = torch.tensor(CrossEncoder(str(folder), device="cpu").predict(PAIRS))
    assert (logits < 0).any() or (logits > 1).any()
    scores = QwenReranker(model=str(folder), device="cpu").score(PAIRS)
    assert scores == pytest.approx(torch.sigmoid(logits).tolist(), abs=1e-5)


def test_a_cross_encoder_of_several_labels_is_no_reranker(cross_encoder_dir) -> None:
    with pytest.raises(ModelUnsupportedError, match="3 labels"):
        QwenReranker(model=str(cross_encoder_dir(labels=3)), device="cpu").score(PAIRS)


def test_only_the_document_of_a_pair_is_cut(cross_encoder_dir) -> None:
    folder, long = cross_encoder_dir(), "abcdefgh " * 30
    query = "a" * 40
    kept = long[: 8 * 2 + 2 + 5]  # 21 letters beside 40 of the query and three special tokens
    reranker = QwenReranker(model=str(folder), device="cpu", max_length=65)
    with pytest.warns(UserWarning, match="1 of 2 documents do not fit max_length=64"):
        scores = reranker.score([(query, long), (query, "short")])
    expected = CrossEncoder(str(folder), device="cpu").predict([(query, kept), (query, "short")])
    assert scores == pytest.approx(list(expected), abs=1e-5)
    with pytest.raises(InputTooLongError, match="takes 62 of 64 tokens"):
        reranker.score([("a" * 62, "x")])
    with pytest.raises(InputTooLongError, match="longer than the 21 tokens"):
        QwenReranker(model=str(folder), device="cpu", truncate=False).score([(query, long)])


def test_a_reranker_of_qwen_saved_with_its_prompt_stays_on_the_engine(tiny_qwen3_dir: Path, tmp_path) -> None:
    assert reranker_backend(tiny_qwen3_dir) == ENGINE
    folder = tmp_path / "saved"
    shutil.copytree(tiny_qwen3_dir, folder)
    (folder / "modules.json").write_text("[]")
    assert reranker_backend(folder) == SENTENCE_TRANSFORMERS
    (folder / "chat_template.jinja").write_text(RERANK_PREFIX)
    assert reranker_backend(folder) == ENGINE


def test_the_engine_does_without_sentence_transformers() -> None:
    script = (
        "import sys\nfrom qwen_agentkit import QwenEmbeddings, QwenReranker\n"
        "QwenEmbeddings(model='nano')._backend, QwenReranker(model='nano')._backend\n"
        "print('sentence_transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
