"""The arithmetic minimum of a step, by a formula."""

from stages.denoise.plan import StepPlan


def min_flops(plan: StepPlan, *, num_text_tokens: int) -> int:
    """What a step cannot do without: 2 operations per weight and token, 4 per pair of tokens and channel.

    With s video tokens and l = `num_text_tokens` text tokens that exist, c channels and m channels in a feed-forward
    layer, a block of one branch is 2 (s + l)(4 c^2 + 2 c m) for the projections and the feed-forward layers, and
    4 c (s (k + l) + l (s + l)) for scores and sums, where a video token sees k video tokens: all, or its window.
    Embeddings, modulations and the output, which all together are below a thousandth, are left out.
    """
    config, num_video_tokens = plan.config, plan.num_video_tokens
    channels = config.num_attention_heads * config.attention_head_dim
    hidden = int(channels * config.mlp_ratio)
    num_seen = min(plan.window_size or num_video_tokens, num_video_tokens)
    layers = (num_video_tokens + num_text_tokens) * (4 * channels**2 + 2 * channels * hidden)
    pairs = num_video_tokens * (num_seen + num_text_tokens) + num_text_tokens * (num_video_tokens + num_text_tokens)
    return plan.num_branches * config.num_layers * (2 * layers + 4 * channels * pairs)
