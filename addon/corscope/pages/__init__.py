"""What corscope itself answers for, under names that RFC 6761 reserves: its own site, and the lab's web.

`hosts` knows the names, `site` answers for `corscope.test`, `guards` holds what keeps others out, `pages` joins them
for the addon. The lab's web is `corscope.lab`.
"""
