"""Phrases for avdigits: the word of a digit in six languages, phrased otherwise in each split.

Knows words and grammar; knows nothing of images, voices or rows. No phrasing ("the number …") of
the test split is in the training split, so that a text tower has to find the word in the phrase.
Two phrases that are judged differ in more than words that the training lacks, since a text tower
takes all of those for one.

A phrasing has fields: ``{word}`` is the digit's word, ``{Word}`` the same as a German noun, ``{a}``
the indefinite article before the word, ``{count}`` the number before a noun. A stroke stands
between the phrasing of one thing and that of several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

CAPITALISED = 0.3  # how many of the phrases begin with a capital letter
PHRASES = {"train": (3, 5), "val": (1, 1), "test": (1, 1)}  # of a row: fewest and most


@dataclass(frozen=True)
class Language:
    """The digits of a language, and phrasings with them.

    Args:
        words: of 0 to 9, separated by spaces.
        article: the indefinite article before a digit's word.
        one: the word of 1 before a noun.
        train, val, test: phrasings of each split, one a line.
        other_articles: by digit, the article where it is another one.
        singular: digits that a noun stands in the singular after.
    """

    words: str
    article: str
    one: str
    train: str
    val: str
    test: str
    other_articles: Mapping[int, str] = field(default_factory=dict)
    singular: tuple[int, ...] = (1,)

    def phrasings(self, split: str) -> list[str]:
        """Return the phrasings of a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split].split("\n")

    def phrase(self, phrasing: str, digit: int) -> str:
        """Return ``phrasing`` with the word of ``digit`` in it."""
        word = self.words.split()[digit]
        single, _, several = phrasing.partition("|")
        chosen = single if not several or digit in self.singular else several
        return chosen.format(
            word=word,
            Word=word.capitalize(),
            a=self.other_articles.get(digit, self.article),
            count=self.one if digit == 1 else word,
        )


LANGUAGES = {
    "en": Language(
        words="zero one two three four five six seven eight nine",
        article="a",
        other_articles={8: "an"},
        one="one",
        train="""{word}
the number {word}
the digit {word}
number {word}
a handwritten {word}
this is {a} {word}
it says {word}
the answer is {word}
we count to {word}
somebody wrote {a} {word}
room {word}
{count} point|{count} points
{count} tree|{count} trees
{count} day|{count} days""",
        val="""page {word}
a photo of {a} {word}""",
        test="""a picture of {a} {word}
a scribbled {word}
here you see the figure {word}
please press the {word}
bus line {word}
we count {count} apple|we count {count} apples""",
    ),
    "de": Language(
        words="null eins zwei drei vier fünf sechs sieben acht neun",
        article="eine",
        one="ein",
        train="""{word}
die Zahl {word}
die Ziffer {word}
Nummer {word}
{a} {Word}
eine handgeschriebene {Word}
das ist {a} {Word}
die Antwort ist {word}
wir zählen bis {word}
jemand schrieb {a} {Word}
Zimmer {word}
{count} Punkt|{count} Punkte
{count} Baum|{count} Bäume
{count} Tag|{count} Tage""",
        val="""Seite {word}
das Foto einer {Word}""",
        test="""das Bild einer {Word}
eine gekritzelte {Word}
hier sieht man die {Word}
bitte die {Word} drücken
Buslinie {word}
wir zählen {count} Apfel|wir zählen {count} Äpfel""",
    ),
    "fr": Language(
        words="zéro un deux trois quatre cinq six sept huit neuf",
        article="un",
        one="un",
        singular=(0, 1),
        train="""{word}
le nombre {word}
le chiffre {word}
le numéro {word}
{a} {word} écrit à la main
c'est {a} {word}
il est écrit {word}
la réponse est {word}
nous comptons jusqu'à {word}
quelqu'un a écrit {a} {word}
la chambre {word}
{count} point|{count} points
{count} arbre|{count} arbres
{count} jour|{count} jours""",
        val="""la page {word}
la photo d'un {word}""",
        test="""l'image d'un {word}
{a} {word} griffonné
on voit ici le {word}
appuyez sur le {word}
la ligne de bus {word}
nous comptons {count} chat|nous comptons {count} chats""",
    ),
    "es": Language(
        words="cero uno dos tres cuatro cinco seis siete ocho nueve",
        article="un",
        one="un",
        train="""{word}
el número {word}
la cifra {word}
el dígito {word}
{a} {word} escrito a mano
esto es {a} {word}
aquí pone {word}
la respuesta es {word}
contamos hasta {word}
alguien escribió {a} {word}
la habitación {word}
{count} punto|{count} puntos
{count} árbol|{count} árboles
{count} día|{count} días""",
        val="""en la página {word}
esta es la foto de {a} {word}""",
        test="""la imagen de {a} {word}
el {word} garabateado
lo que se ve es {a} {word}
pulse el {word}
la línea de autobús {word}
contamos {count} gato|contamos {count} gatos""",
    ),
    "it": Language(
        words="zero uno due tre quattro cinque sei sette otto nove",
        article="un",
        other_articles={0: "uno"},
        one="un",
        train="""{word}
il numero {word}
la cifra {word}
cifra {word}
{a} {word} scritto a mano
questo è {a} {word}
qui c'è scritto {word}
la risposta è {word}
contiamo fino a {word}
qualcuno ha scritto {a} {word}
la stanza {word}
{count} punto|{count} punti
{count} albero|{count} alberi
{count} giorno|{count} giorni""",
        val="""la pagina {word}
la foto di {a} {word}""",
        test="""l'immagine di {a} {word}
{a} {word} scarabocchiato
quello che si vede è {a} {word}
premere il tasto {word}
la linea {word} dell'autobus
contiamo {count} gatto|contiamo {count} gatti""",
    ),
    "pt": Language(
        words="zero um dois três quatro cinco seis sete oito nove",
        article="um",
        one="um",
        train="""{word}
o número {word}
o algarismo {word}
número {word}
{a} {word} escrito à mão
isto é {a} {word}
aqui diz {word}
a resposta é {word}
contamos até {word}
alguém escreveu {a} {word}
a sala {word}
{count} ponto|{count} pontos
{count} livro|{count} livros
{count} dia|{count} dias""",
        val="""a página {word}
a fotografia de {a} {word}""",
        test="""a imagem de {a} {word}
{a} {word} rabiscado
o que se vê é {a} {word}
carregue na tecla {word}
a linha {word} do autocarro
contamos {count} gato|contamos {count} gatos""",
    ),
}


def write_phrases(
    digit: int, split: str, rng: np.random.Generator, taken: set[str] | None = None
) -> list[str]:
    """Return the phrases of a row with ``digit``, none of them twice, in random languages.

    Args:
        digit: 0 to 9.
        split: whose phrasings are taken.
        rng: draws how many, which, and which begin with a capital letter.
        taken: phrases of other rows, in lower case, that are not taken again; those that are
            returned are added. When all are taken, none is left for the row. None lets rows share
            phrases.
    """
    known = [(each, text) for each in LANGUAGES.values() for text in each.phrasings(split)]
    fewest, most = PHRASES[split]
    count = int(rng.integers(fewest, most + 1))
    taken = set() if taken is None else taken
    phrases: list[str] = []
    for index in rng.permutation(len(known)):
        if len(phrases) == count:
            break
        language, phrasing = known[index]
        text = language.phrase(phrasing, digit)
        if text.lower() not in taken:
            taken.add(text.lower())
            capital = rng.random() < CAPITALISED
            phrases.append(text[0].upper() + text[1:] if capital else text)
    return phrases
