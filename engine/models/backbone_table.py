"""torchvision's classification models as figures, so that they can be listed without loading torch.

A test compares every row with torchvision itself. Parameters are those of the 1000-class model as we
build it: without the auxiliary heads of GoogLeNet and Inception, which only helped their first training.
"""
# ruff: noqa: E501  (a table: one line a model)

from __future__ import annotations

Row = tuple[str, str, str, int, int, int, int, int, float, str, int]

# arch, title, family, parameters, feature width, smallest image side, side must be a multiple of, usual side,
# GFLOPs at that side, file name of torchvision's first weights, its size in MB
# fmt: off
TORCHVISION: tuple[Row, ...] = (
    ("alexnet", "AlexNet", "AlexNet", 61_100_840, 4096, 63, 1, 224, 0.714, "alexnet-owt-7be5be79.pth", 233),
    ("convnext_base", "ConvNeXt-Base", "ConvNeXt", 88_591_464, 1024, 32, 1, 224, 15.355, "convnext_base-6075fbad.pth", 338),
    ("convnext_large", "ConvNeXt-Large", "ConvNeXt", 197_767_336, 1536, 32, 1, 224, 34.361, "convnext_large-ea097f82.pth", 755),
    ("convnext_small", "ConvNeXt-Small", "ConvNeXt", 50_223_688, 768, 32, 1, 224, 8.684, "convnext_small-0c510722.pth", 192),
    ("convnext_tiny", "ConvNeXt-Tiny", "ConvNeXt", 28_589_128, 768, 32, 1, 224, 4.456, "convnext_tiny-983f1562.pth", 109),
    ("densenet121", "DenseNet-121", "DenseNet", 7_978_856, 1024, 32, 1, 224, 2.834, "densenet121-a639ec97.pth", 31),
    ("densenet161", "DenseNet-161", "DenseNet", 28_681_000, 2208, 32, 1, 224, 7.728, "densenet161-8d451a50.pth", 110),
    ("densenet169", "DenseNet-169", "DenseNet", 14_149_480, 1664, 32, 1, 224, 3.36, "densenet169-b2777c0a.pth", 55),
    ("densenet201", "DenseNet-201", "DenseNet", 20_013_928, 1920, 32, 1, 224, 4.291, "densenet201-c1103571.pth", 77),
    ("efficientnet_b0", "EfficientNet-B0", "EfficientNet", 5_288_548, 1280, 32, 1, 224, 0.386, "efficientnet_b0_rwightman-7f5810bc.pth", 20),
    ("efficientnet_b1", "EfficientNet-B1", "EfficientNet", 7_794_184, 1280, 32, 1, 240, 0.687, "efficientnet_b1_rwightman-bac287d4.pth", 30),
    ("efficientnet_b2", "EfficientNet-B2", "EfficientNet", 9_109_994, 1408, 32, 1, 288, 1.088, "efficientnet_b2_rwightman-c35c1473.pth", 35),
    ("efficientnet_b3", "EfficientNet-B3", "EfficientNet", 12_233_232, 1536, 32, 1, 300, 1.827, "efficientnet_b3_rwightman-b3899882.pth", 47),
    ("efficientnet_b4", "EfficientNet-B4", "EfficientNet", 19_341_616, 1792, 32, 1, 380, 4.394, "efficientnet_b4_rwightman-23ab8bcd.pth", 74),
    ("efficientnet_b5", "EfficientNet-B5", "EfficientNet", 30_389_784, 2048, 32, 1, 456, 10.266, "efficientnet_b5_lukemelas-1a07897c.pth", 117),
    ("efficientnet_b6", "EfficientNet-B6", "EfficientNet", 43_040_704, 2304, 32, 1, 528, 19.068, "efficientnet_b6_lukemelas-24a108a5.pth", 165),
    ("efficientnet_b7", "EfficientNet-B7", "EfficientNet", 66_347_960, 2560, 32, 1, 600, 37.746, "efficientnet_b7_lukemelas-c5b4e57e.pth", 255),
    ("efficientnet_v2_l", "EfficientNetV2-L", "EfficientNet", 118_515_272, 1280, 33, 1, 480, 56.08, "efficientnet_v2_l-59c71312.pth", 455),
    ("efficientnet_v2_m", "EfficientNetV2-M", "EfficientNet", 54_139_356, 1280, 33, 1, 480, 24.582, "efficientnet_v2_m-dc08266a.pth", 208),
    ("efficientnet_v2_s", "EfficientNetV2-S", "EfficientNet", 21_458_488, 1280, 33, 1, 384, 8.366, "efficientnet_v2_s-dd5fe13b.pth", 83),
    ("googlenet", "GoogLeNet", "GoogLeNet", 6_624_904, 1024, 32, 1, 224, 1.498, "googlenet-1378be20.pth", 50),
    ("inception_v3", "Inception v3", "Inception", 23_834_568, 2048, 75, 1, 299, 5.713, "inception_v3_google-0cc3c7bd.pth", 104),
    ("maxvit_t", "MaxViT-Tiny", "MaxViT", 30_919_624, 512, 224, 224, 224, 5.558, "maxvit_t-bc5ab103.pth", 119),
    ("mnasnet0_5", "MNASNet 0.5", "MNASNet", 2_218_512, 1280, 32, 1, 224, 0.104, "mnasnet0.5_top1_67.823-3ffadce67e.pth", 9),
    ("mnasnet0_75", "MNASNet 0.75", "MNASNet", 3_170_208, 1280, 32, 1, 224, 0.215, "mnasnet0_75-7090bc5f.pth", 12),
    ("mnasnet1_0", "MNASNet 1.0", "MNASNet", 4_383_312, 1280, 32, 1, 224, 0.314, "mnasnet1.0_top1_73.512-f206786ef8.pth", 17),
    ("mnasnet1_3", "MNASNet 1.3", "MNASNet", 6_282_256, 1280, 32, 1, 224, 0.526, "mnasnet1_3-a4c69d6f.pth", 24),
    ("mobilenet_v2", "MobileNet V2", "MobileNet", 3_504_872, 1280, 32, 1, 224, 0.301, "mobilenet_v2-b0353104.pth", 14),
    ("mobilenet_v3_large", "MobileNetV3 large", "MobileNet", 5_483_032, 1280, 32, 1, 224, 0.217, "mobilenet_v3_large-8738ca79.pth", 21),
    ("mobilenet_v3_small", "MobileNetV3 small", "MobileNet", 2_542_856, 1024, 32, 1, 224, 0.057, "mobilenet_v3_small-047dcff4.pth", 10),
    ("regnet_x_16gf", "RegNet X 16 GF", "RegNet", 54_278_536, 2048, 32, 1, 224, 15.941, "regnet_x_16gf-2007eb11.pth", 208),
    ("regnet_x_1_6gf", "RegNet X 1.6 GF", "RegNet", 9_190_136, 912, 32, 1, 224, 1.603, "regnet_x_1_6gf-e3633e7f.pth", 35),
    ("regnet_x_32gf", "RegNet X 32 GF", "RegNet", 107_811_560, 2520, 32, 1, 224, 31.736, "regnet_x_32gf-9d47f8d0.pth", 412),
    ("regnet_x_3_2gf", "RegNet X 3.2 GF", "RegNet", 15_296_552, 1008, 32, 1, 224, 3.177, "regnet_x_3_2gf-f342aeae.pth", 59),
    ("regnet_x_400mf", "RegNet X 400 MF", "RegNet", 5_495_976, 400, 32, 1, 224, 0.414, "regnet_x_400mf-adf1edd5.pth", 21),
    ("regnet_x_800mf", "RegNet X 800 MF", "RegNet", 7_259_656, 672, 32, 1, 224, 0.8, "regnet_x_800mf-ad17e45c.pth", 28),
    ("regnet_x_8gf", "RegNet X 8 GF", "RegNet", 39_572_648, 1920, 32, 1, 224, 7.995, "regnet_x_8gf-03ceed89.pth", 151),
    ("regnet_y_128gf", "RegNet Y 128 GF", "RegNet", 644_812_894, 7392, 32, 1, 384, 374.57, "regnet_y_128gf_swag-c8ce3e52.pth", 2462),
    ("regnet_y_16gf", "RegNet Y 16 GF", "RegNet", 83_590_140, 3024, 32, 1, 224, 15.912, "regnet_y_16gf-9e6ed7dd.pth", 319),
    ("regnet_y_1_6gf", "RegNet Y 1.6 GF", "RegNet", 11_202_430, 888, 32, 1, 224, 1.612, "regnet_y_1_6gf-b11a554e.pth", 43),
    ("regnet_y_32gf", "RegNet Y 32 GF", "RegNet", 145_046_770, 3712, 32, 1, 224, 32.28, "regnet_y_32gf-4dee3f7a.pth", 554),
    ("regnet_y_3_2gf", "RegNet Y 3.2 GF", "RegNet", 19_436_338, 1512, 32, 1, 224, 3.176, "regnet_y_3_2gf-b5a9779c.pth", 75),
    ("regnet_y_400mf", "RegNet Y 400 MF", "RegNet", 4_344_144, 440, 32, 1, 224, 0.402, "regnet_y_400mf-c65dace8.pth", 17),
    ("regnet_y_800mf", "RegNet Y 800 MF", "RegNet", 6_432_512, 784, 32, 1, 224, 0.834, "regnet_y_800mf-1b27b58c.pth", 25),
    ("regnet_y_8gf", "RegNet Y 8 GF", "RegNet", 39_381_472, 2016, 32, 1, 224, 8.473, "regnet_y_8gf-d0d0e4a8.pth", 151),
    ("resnet101", "ResNet-101", "ResNet", 44_549_160, 2048, 32, 1, 224, 7.801, "resnet101-63fe2227.pth", 171),
    ("resnet152", "ResNet-152", "ResNet", 60_192_808, 2048, 32, 1, 224, 11.514, "resnet152-394f9c45.pth", 230),
    ("resnet18", "ResNet-18", "ResNet", 11_689_512, 512, 32, 1, 224, 1.814, "resnet18-f37072fd.pth", 45),
    ("resnet34", "ResNet-34", "ResNet", 21_797_672, 512, 32, 1, 224, 3.664, "resnet34-b627a593.pth", 83),
    ("resnet50", "ResNet-50", "ResNet", 25_557_032, 2048, 32, 1, 224, 4.089, "resnet50-0676ba61.pth", 98),
    ("resnext101_32x8d", "ResNeXt-101 32x8d", "ResNeXt", 88_791_336, 2048, 32, 1, 224, 16.414, "resnext101_32x8d-8ba56ff5.pth", 340),
    ("resnext101_64x4d", "ResNeXt-101 64x4d", "ResNeXt", 83_455_272, 2048, 32, 1, 224, 15.46, "resnext101_64x4d-173b62eb.pth", 319),
    ("resnext50_32x4d", "ResNeXt-50 32x4d", "ResNeXt", 25_028_904, 2048, 32, 1, 224, 4.23, "resnext50_32x4d-7cdf4587.pth", 96),
    ("shufflenet_v2_x0_5", "ShuffleNet V2 0.5×", "ShuffleNet", 1_366_792, 1024, 32, 1, 224, 0.04, "shufflenetv2_x0.5-f707e7126e.pth", 5),
    ("shufflenet_v2_x1_0", "ShuffleNet V2 1.0×", "ShuffleNet", 2_278_604, 1024, 32, 1, 224, 0.145, "shufflenetv2_x1-5666bf0f80.pth", 9),
    ("shufflenet_v2_x1_5", "ShuffleNet V2 1.5×", "ShuffleNet", 3_503_624, 1024, 32, 1, 224, 0.296, "shufflenetv2_x1_5-3c479a10.pth", 14),
    ("shufflenet_v2_x2_0", "ShuffleNet V2 2.0×", "ShuffleNet", 7_393_996, 2048, 32, 1, 224, 0.583, "shufflenetv2_x2_0-8be3c8ee.pth", 28),
    ("squeezenet1_0", "SqueezeNet 1.0", "SqueezeNet", 1_248_424, 512, 32, 1, 224, 0.819, "squeezenet1_0-b66bff10.pth", 5),
    ("squeezenet1_1", "SqueezeNet 1.1", "SqueezeNet", 1_235_496, 512, 32, 1, 224, 0.349, "squeezenet1_1-b8a52dc0.pth", 5),
    ("swin_b", "Swin-Base", "Swin", 87_768_224, 1024, 32, 1, 224, 15.431, "swin_b-68c6b09e.pth", 335),
    ("swin_s", "Swin-Small", "Swin", 49_606_258, 768, 32, 1, 224, 8.741, "swin_s-5e29d889.pth", 190),
    ("swin_t", "Swin-Tiny", "Swin", 28_288_354, 768, 32, 1, 224, 4.491, "swin_t-704ceda3.pth", 108),
    ("swin_v2_b", "Swin V2-Base", "Swin", 87_930_848, 1024, 32, 1, 256, 20.325, "swin_v2_b-781e5279.pth", 336),
    ("swin_v2_s", "Swin V2-Small", "Swin", 49_737_442, 768, 32, 1, 256, 11.546, "swin_v2_s-637d8ceb.pth", 191),
    ("swin_v2_t", "Swin V2-Tiny", "Swin", 28_351_570, 768, 32, 1, 256, 5.94, "swin_v2_t-b137f0e2.pth", 109),
    ("vgg11", "VGG-11", "VGG", 132_863_336, 4096, 32, 1, 224, 7.609, "vgg11-8a719046.pth", 507),
    ("vgg11_bn", "VGG-11 with BatchNorm", "VGG", 132_868_840, 4096, 32, 1, 224, 7.609, "vgg11_bn-6002323d.pth", 507),
    ("vgg13", "VGG-13", "VGG", 133_047_848, 4096, 32, 1, 224, 11.308, "vgg13-19584684.pth", 508),
    ("vgg13_bn", "VGG-13 with BatchNorm", "VGG", 133_053_736, 4096, 32, 1, 224, 11.308, "vgg13_bn-abd245e5.pth", 508),
    ("vgg16", "VGG-16", "VGG", 138_357_544, 4096, 32, 1, 224, 15.47, "vgg16-397923af.pth", 528),
    ("vgg16_bn", "VGG-16 with BatchNorm", "VGG", 138_365_992, 4096, 32, 1, 224, 15.47, "vgg16_bn-6c64b313.pth", 528),
    ("vgg19", "VGG-19", "VGG", 143_667_240, 4096, 32, 1, 224, 19.632, "vgg19-dcbb9e9d.pth", 548),
    ("vgg19_bn", "VGG-19 with BatchNorm", "VGG", 143_678_248, 4096, 32, 1, 224, 19.632, "vgg19_bn-c79401a0.pth", 548),
    ("vit_b_16", "ViT-B/16", "ViT", 86_567_656, 768, 32, 16, 224, 17.564, "vit_b_16-c867db91.pth", 330),
    ("vit_b_32", "ViT-B/32", "ViT", 88_224_232, 768, 64, 32, 224, 4.409, "vit_b_32-d86f8d99.pth", 337),
    ("vit_h_14", "ViT-H/14", "ViT", 633_470_440, 1280, 28, 14, 518, 1016.717, "vit_h_14_swag-80465313.pth", 2417),
    ("vit_l_16", "ViT-L/16", "ViT", 304_326_632, 1024, 32, 16, 224, 61.555, "vit_l_16-852ce7e3.pth", 1161),
    ("vit_l_32", "ViT-L/32", "ViT", 306_535_400, 1024, 64, 32, 224, 15.378, "vit_l_32-c7638314.pth", 1169),
    ("wide_resnet101_2", "Wide ResNet-101-2", "Wide ResNet", 126_886_696, 2048, 32, 1, 224, 22.753, "wide_resnet101_2-32ee1156.pth", 243),
    ("wide_resnet50_2", "Wide ResNet-50-2", "Wide ResNet", 68_883_240, 2048, 32, 1, 224, 11.398, "wide_resnet50_2-95faca4d.pth", 132),
)
# fmt: on

# One plain sentence for each backbone shown first.
LINES: dict[str, str] = {
    "resnet18": "The usual first choice: small, quick, well understood.",
    "resnet34": "Twice as deep as ResNet-18, twice the work.",
    "resnet50": "Bottleneck blocks and 2,048 features: the standard of the literature.",
    "alexnet": "The network of 2012: five convolutions, nearly all its weights in three dense layers.",
    "vgg16": "Thirteen plain 3×3 convolutions; heavy, and 74 % of its weights sit in one dense layer.",
    "squeezenet1_0": "AlexNet's accuracy with fifty times fewer weights; its head is a 1×1 convolution.",
    "squeezenet1_1": "SqueezeNet with less than half the work.",
    "densenet121": "Every layer sees all earlier ones; few weights, many operations.",
    "mobilenet_v3_large": "Made for phones: very few operations for its accuracy.",
    "mobilenet_v3_small": "The smallest of the mobile family, quickest of all at 224 px.",
    "efficientnet_b0": "Depth, width and image size scaled together; accurate for its size.",
    "convnext_tiny": "A convolutional network built with what was learned from transformers.",
    "vit_b_16": "A vision transformer: the image as 16×16 px patches; image sides in steps of 16.",
}

# Milliseconds a forward pass takes for one image at the usual side: batch 16, 32-bit, two cores of an AMD EPYC.
# Another machine differs; a run's own estimate is measured where it will run.
MILLISECONDS: dict[str, float] = {}
