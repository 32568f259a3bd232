"""What the demo company deals with: invented customers, deals, notes, invoices and messages. Nobody of these exists."""

from dataclasses import dataclass
from random import Random
from typing import Any

CUSTOMERS = (
    "Padaria Estrela do Sul", "Mercado Boa Colheita", "Clínica Vale Sereno", "Oficina Três Irmãos", "Hotel Serra Azul",
    "Escola Passo Certo", "Farmácia Flor do Cerrado", "Academia Ponto Alto", "Papelaria Girassol", "Fazenda Água Clara",
    "Restaurante Maré Mansa", "Pousada Vento Leste", "Transportes Rota Nova", "Marcenaria Pau-Brasil", "Ótica Boa Vista",
    "Livraria Folha Solta", "Lavanderia Nuvem Branca", "Pet Shop Quatro Patas", "Auto Peças Avenida", "Móveis Jatobá",
)  # fmt: skip
WARES = (
    ("Energia solar 8 kWp", 31_900), ("Energia solar 15 kWp", 54_800), ("Manutenção anual", 2_400),
    ("Carregador veicular", 7_250), ("Sistema de baterias", 41_000), ("Projeto e homologação", 3_600),
)  # fmt: skip
FIRST = ("Alice", "Breno", "Cecília", "Davi", "Elisa", "Fabrício", "Gabriela", "Heitor", "Isadora", "Joaquim")
LAST = ("Abrantes", "Bittencourt", "Cordeiro", "Damasceno", "Falcão", "Guimarães", "Lacerda", "Moura", "Pacheco")
NOTES = (
    "Pediu retorno na quinta-feira.",
    "Visita técnica marcada.",
    "Enviou a conta de luz.",
    "Quer parcelar em dez vezes.",
)
STAGES = (10, 11, 12)
LOST_STAGE = 13
"""The funnel's stage that somebody deleted in the CRM this morning."""


@dataclass(frozen=True)
class Piece:
    """One piece of work for a service, as a system of the company hands it in."""

    operation_type: str
    entity_type: str
    entity_id: str
    payload: dict[str, Any]
    source: str


def deal(random: Random, stage: int | None = None) -> Piece:
    """Return a new deal."""
    name, price = random.choice(WARES)
    payload = {
        "title": f"{name} · {random.choice(CUSTOMERS)}",
        "pipeline_id": 1,
        "stage_id": stage or random.choice(STAGES),
        "value": price + random.randrange(0, 2000, 50),
        "origin_id": random.choice((1, 2)),
    }
    return Piece("deal.create", "deal", _number(random, "lead"), payload, "website")


def lead(random: Random) -> dict[str, Any]:
    """Return a new lead, in the words of the site's own form."""
    product, price = random.choice(WARES)
    interest = random.choice(("hot", "cold"))
    return {
        "product": product,
        "name": random.choice(CUSTOMERS),
        "value": price,
        "interest": interest,
        "origin": "site",
    }


def person(random: Random) -> Piece:
    """Return a new person."""
    name = f"{random.choice(FIRST)} {random.choice(LAST)}"
    return Piece("person.create", "person", _number(random, "contact"), {"name": name, "origin_id": 1}, "website")


def company(random: Random) -> Piece:
    """Return a new company."""
    return Piece("company.create", "company", _number(random, "customer"), {"name": random.choice(CUSTOMERS)}, "erp")


def note(random: Random, deal_id: int) -> Piece:
    """Return a new note on a deal."""
    payload = {"text": random.choice(NOTES), "deal_id": deal_id}
    return Piece("note.create", "note", _number(random, "talk"), payload, "whatsapp")


def move(random: Random, deal_id: int) -> Piece:
    """Return a deal's step to another stage."""
    payload = {"id": deal_id, "stage_id": random.choice(STAGES)}
    return Piece("deal.update", "deal", _number(random, "lead"), payload, "whatsapp")


def invoice(random: Random) -> Piece:
    """Return an invoice for the ERP."""
    name, price = random.choice(WARES)
    payload = {"customer": random.choice(CUSTOMERS), "items": [{"name": name, "price": price}], "due_days": 30}
    return Piece("http.post", "invoice", _number(random, "invoice"), payload, "checkout")


def message(random: Random) -> Piece:
    """Return a message for a customer."""
    template = random.choice(("proposal_sent", "visit_confirmed", "payment_received"))
    payload = {"template": template, "to": random.choice(CUSTOMERS)}
    return Piece("http.post", "message", _number(random, "message"), payload, "whatsapp")


def statement(random: Random) -> Piece:
    """Return a customer's statement of the month."""
    payload = {"template": "statement", "to": random.choice(CUSTOMERS), "month": "last"}
    return Piece("http.post", "statement", _number(random, "statement"), payload, "erp")


def _number(random: Random, kind: str) -> str:
    return f"{kind}-{random.randrange(10_000, 99_999)}"
