"""The digests in a store's answers, as callers compare them with their own."""

from msgspec.structs import replace

from workflow_ray.coding.chains import Chains
from workflow_ray.records import (
    Committed,
    GroupResult,
    KeyUsed,
    NewMessage,
    Posted,
    PostResult,
    Write,
    WriteGroup,
    WriteResult,
)


def compared(chains: Chains, group: WriteGroup, answer: GroupResult) -> GroupResult:
    """Return the answer with digests that equal the plain ones of the group where they were made
    of them. The stored ones are keyed.
    """
    if not isinstance(answer, Committed):
        return answer
    results, posts = answer.results, answer.posts
    if any(isinstance(result, KeyUsed) for result in results):
        pairs = zip(group.writes, results, strict=True)
        results = tuple(_result(chains, write, result) for write, result in pairs)
    if posts:
        asked = zip(group.messages, posts, strict=True)
        posts = tuple(_post(chains, message, post) for message, post in asked)
    return replace(answer, results=results, posts=posts)


def _result(chains: Chains, write: Write, result: WriteResult) -> WriteResult:
    if not isinstance(result, KeyUsed) or result.digest is None or write.new is None:
        return result
    chain = chains.of(write.new.workflow)
    if chain is None or write.new.digest is None:
        return result
    return replace(result, digest=chain.undigested(result.digest, write.new.digest))


def _post(chains: Chains, message: NewMessage, post: PostResult) -> PostResult:
    if not isinstance(post, Posted) or post.digest is None or message.digest is None:
        return post
    chain = chains.of(message.key.workflow)
    if chain is None:
        return post
    return replace(post, digest=chain.undigested(post.digest, message.digest))
